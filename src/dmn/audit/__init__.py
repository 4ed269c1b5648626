"""Audit: are these reports what this code and this data give?"""
