"""How `muhurat ml` prints jobs and versions."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import typer

from db.models import MLModelRow
from ops.cli.tables import print_facts, print_json, print_rows, said
from ops.training import TrainingNotDoneError, no_worker


def tell_jobs(jobs: Sequence[Mapping[str, Any]], workers: int, *, waited: bool, as_json: bool) -> None:
    """Print jobs that were asked for. Raises TrainingNotDoneError for one that failed."""
    if as_json:
        print_json({"jobs": jobs, "workers": workers})
    else:
        columns = ("id", "status", "model_type", "algorithm", "version", "data", "error_message")
        print_rows("Trainings", jobs, columns=columns)
    if not workers and not waited:
        typer.echo(no_worker([job["id"] for job in jobs]), err=True)
    failed = [job for job in jobs if job["status"] == "failed"]
    if failed:
        raise TrainingNotDoneError(f"job {failed[0]['id']} failed: {failed[0]['error_message']}")


def show_job(job: Mapping[str, Any], *, as_json: bool) -> None:
    """Print a job with its log. As JSON its lines keep their times in UTC."""
    if as_json:
        print_json({"job": job})
        return
    print_facts(f"Training job {job['id']} (times in IST)", {name: job[name] for name in job if name != "logs"})
    typer.echo("\n".join(map(_in_exchange_time, (job["logs"] or "it has said nothing yet").splitlines())))


def show_version(row: MLModelRow, *, as_json: bool) -> None:
    """Print a version, and how good it was on trades it had not seen."""
    names = (
        "model_type", "version", "is_active", "activated_at", "activated_by", "retired_at", "training_job_id",
        "training_data_through_date", "library_version", "sha256", "features", "created_at",
    )  # fmt: skip
    facts = {name: getattr(row, name) for name in names}
    if as_json:
        print_json({"version": {**facts, "metrics": row.metrics}})
        return
    print_facts(f"{row.model_type} {row.version} (times in IST)", facts)
    deciles = {name: value for name, value in row.metrics.items() if name.endswith("_by_decile")}
    print_facts("On trades it had not seen", {name: row.metrics[name] for name in row.metrics if name not in deciles})
    rows = [
        {"decile": number, **dict(zip(deciles, line, strict=True))}
        for number, line in enumerate(zip(*deciles.values(), strict=True), 1)
    ]
    print_rows("By decile of what it says, lowest first", rows)


def _in_exchange_time(line: str) -> str:
    """Return a line of a log with its moment as people read it. The first may have lost its beginning."""
    moment, _, text = line.partition(" ")
    try:
        at = datetime.fromisoformat(moment)
    except ValueError:
        return line
    return f"{said(at)} {text}" if at.tzinfo else line
