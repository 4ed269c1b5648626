"""The only place that builds a path: templates that Snakemake and Python share.

Grammar: `<root>/<phase>/<dataset>/<backbone>/<key>=<value>...`. A phase is a folder of data/, a
rule file in workflow/rules and a module in dmn.stages, all by the same word. The names in braces
are Snakemake's wildcards (docs/wildcards.md).
"""

from __future__ import annotations

DATA = "data"
REPORTS = "reports"

# download: archives as their homes publish them, and what was found in them
DOWNLOAD = DATA + "/download/{dataset}"
ARCHIVE = DOWNLOAD + "/{file}"
DOWNLOAD_MANIFEST = DOWNLOAD + "/manifest.json"

# compressed tars expand here while images are read; not an artifact
SCRATCH = DATA + "/scratch"
# what is known of files that a person brings, so that each is read once
DIGESTS = SCRATCH + "/digests.json"

# encoder: the weights that turn images and prompts into features
ENCODER = DATA + "/encoder/{backbone}.safetensors"
ENCODER_HISTORY = DATA + "/encoder/{backbone}.history.csv"

# splits: train, validation and test lists; which shots a split seed draws
SPLIT = DATA + "/splits/{dataset}/split.json"
SHOTS = DATA + "/splits/{dataset}/split={split}.json"

# features: float16, [N, V, D] for images and [C, D] for text
FEATURES = DATA + "/features/{dataset}/{backbone}"
TEXT_FEATURES = FEATURES + "/text.safetensors"
TEST_FEATURES = FEATURES + "/test.safetensors"
SHIFT_FEATURES = FEATURES + "/test,shift={corruption},severity={severity}.safetensors"
TRAIN_FEATURES = FEATURES + "/train,split={split}.safetensors"
VAL_FEATURES = FEATURES + "/val,split={split}.safetensors"

# memory: the static memory of one K-shot training set
MEMORY_FOLDER = DATA + "/memory/{dataset}/{backbone}/split={split}"
MEMORY = MEMORY_FOLDER + "/shots={shots}.safetensors"

# projection: trained query, key, value, output and text projections, and their training curve
PROJECTION_FOLDER = (
    DATA + "/projection/{dataset}/{backbone}/{projection}/split={split}/training={training}"
)
PROJECTION = PROJECTION_FOLDER + "/shots={shots}.safetensors"
TRAINING_CURVE = PROJECTION_FOLDER + "/shots={shots}.csv"

# evaluation: tidy rows of one study, and what each component answered for each sample; an entry of
# splits and one of orders are one job
EVALUATION = DATA + "/evaluation/{study}/{dataset}/{backbone}/splits={splits}"
ROWS = EVALUATION + "/orders={orders}.csv"
SAMPLES = EVALUATION + "/orders={orders}.safetensors"

# reports: one folder a study, the page, and manifests in the form of sha256sum: `reports/<study>`
# lists a study's files, `reports/all` everything
STUDY_REPORT = REPORTS + "/studies/{study}"
STUDY_MANIFEST = REPORTS + "/{study}"
STUDY_TABLE = STUDY_REPORT + "/rows.csv"
STUDY_SUMMARY = STUDY_REPORT + "/summary.json"
TABLE = STUDY_REPORT + "/{table}.{kind}"
FIGURE = STUDY_REPORT + "/{figure}.{kind}"
TABLE_KINDS = ("csv", "md", "tex")
FIGURE_KINDS = ("svg", "pdf", "png")
PAGE = REPORTS + "/index.html"
RUN_CONFIG = REPORTS + "/config.yaml"
MANIFEST = REPORTS + "/all"

# beside the artifacts: they hold times and are not versioned
LOG = "logs/{rule}/{name}.log"
BENCHMARK = "benchmarks/{rule}/{name}.tsv"

WILDCARDS = {
    "dataset": r"[a-z0-9_]+",
    "backbone": r"[A-Za-z0-9_.-]+",
    "file": r"[^/]+(/[^/]+)*",
    "shots": r"\d+",
    "split": r"\d+",
    "splits": r"\d+(-\d+)?",
    "training": r"\d+",
    "orders": r"\d+(-\d+)?",
    "projection": r"bias|linear",
    "corruption": r"[a-z_]+",
    "severity": r"[1-5]",
    "study": r"[a-z_]+",
}


def fill(template: str, **values: object) -> str:
    """Fill a template's braces; a missing or unknown name is an error of the caller.

    >>> fill(MEMORY, dataset="digits", backbone="glyph", shots=4, split=0)
    'data/memory/digits/glyph/split=0/shots=4.safetensors'
    """
    return template.format_map(values)


def beside(kind: str, output: str) -> str:
    """Return the log or benchmark file of the job that writes the template `output`.

    `kind` is LOG or BENCHMARK; wildcards in `output` are kept.
    """
    phase, _, name = output.removeprefix(DATA + "/").partition("/")
    name = (name or phase).rpartition(".")[0] or name
    return kind.replace("{rule}", phase).replace("{name}", name.replace("/", ","))
