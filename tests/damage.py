"""What a failing disk does to a file, drawn by hypothesis."""

from pathlib import Path

from hypothesis import strategies as st


def damage(path: Path, data: st.DataObject) -> bytes:
    """Cut a file short, or change some bytes of it; gives what it was."""
    whole = path.read_bytes()
    start = data.draw(st.integers(0, len(whole) - 1), label="start")
    end = data.draw(st.integers(start + 1, min(len(whole), start + 4096)), label="end")
    kept = data.draw(st.sampled_from([b"", bytes(byte ^ 0xFF for byte in whole[start:end])]))
    path.write_bytes(whole[:start] + kept + whole[end:] if kept else whole[:start])
    return whole
