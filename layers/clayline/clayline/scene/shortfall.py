"""Bands that a scene has and that nobody recognised: what is said where the model would have taken more."""

from clayline.model.manifest import ModelEntry
from clayline.run.receipt import SceneWarning
from clayline.scene.bands import known_names, listed
from clayline.scene.source import SceneSource


def what_was_found(source: SceneSource) -> str:
    """Say which bands were found, which files or bands were not recognised, which names are known."""
    found = listed(tuple(sorted(band.name for band in source.bands)))
    if not source.unrecognised:
        return f"Found were the bands [{found}]"
    return (
        f"Found were the bands [{found}], not recognised [{listed(source.unrecognised)}]; known names are"
        f" {known_names(source.product)}"
    )


def fewer_bands(source: SceneSource, entry: ModelEntry, entries: tuple[ModelEntry, ...]) -> tuple[SceneWarning, ...]:
    """Warn where an entry of more bands was passed over, and something in the scene was not recognised."""
    found = {band.name for band in source.bands}
    better = [
        other for other in entries if other.sensor == entry.sensor and len(set(other.bands)) > len(set(entry.bands))
    ]
    if not source.unrecognised or not better:
        return ()
    nearest = min(better, key=lambda other: len(set(other.bands) - found))
    lacking = listed(tuple(name for name in nearest.bands if name not in found))
    message = (
        f"scene {source.name}: it is embedded by model entry {entry.token} of {len(entry.bands)} bands, for"
        f" {nearest.token} the bands [{lacking}] were not found. {what_was_found(source)}. If they are there, name them"
        " so."
    )
    return (SceneWarning(reason="fewer-bands", message=message),)
