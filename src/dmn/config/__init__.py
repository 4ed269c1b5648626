"""The typed configuration: one model, layered YAML, unknown keys refused with the nearest known.

It knows no study: `dmn.pipeline.configuration` checks a whole run.
"""

from dmn.config.loading import from_argument, load
from dmn.config.model import Config

__all__ = ["Config", "from_argument", "load"]
