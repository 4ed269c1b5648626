"""The typed configuration: one model, layered YAML, unknown keys refused with the nearest known.

`config/demo.yaml` and `config/schema.json` are generated from the model:
`python -m dmn.config --write`.
"""

from dmn.config.loading import from_argument, load, study_options
from dmn.config.model import Config, study_names

__all__ = ["Config", "from_argument", "load", "study_names", "study_options"]
