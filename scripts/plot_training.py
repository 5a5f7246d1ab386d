"""Training curves of all methods of one concept, each at its own window length."""

from ear.jobs import job

with job(snakemake):
    import pandas as pd

    from ear.figures import style, training_curves
    from ear.figures.rows import TRAINING_COLUMNS
    from ear.files import read_csv

    parts = []
    for (method, window), path in zip(snakemake.params.windows.items(), snakemake.input.logs, strict=True):
        table = read_csv(path, TRAINING_COLUMNS)
        parts.append(table[table["window_length"] == window].assign(method=method))
    figure = training_curves.draw(pd.concat(parts), snakemake.params.objectives)
    style.save(figure, snakemake.output.png, snakemake.output.pdf)
