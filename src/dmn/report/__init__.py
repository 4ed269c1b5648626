"""Reports: tables, figures and the page, all made from the evaluations' CSV files."""
