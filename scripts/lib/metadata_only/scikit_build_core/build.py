"""Stands in for the build back end of a source distribution while pip downloads it.

pip asks the back end for the package's metadata before it saves the file. A source distribution carries
its metadata in PKG-INFO, so there is nothing to build and no build dependency to install.
"""

import email
import pathlib


def get_requires_for_build_wheel(config_settings=None):
    return []


def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    text = pathlib.Path("PKG-INFO").read_text(encoding="utf-8")
    package = email.message_from_string(text)
    folder = pathlib.Path(metadata_directory, f"{package['Name']}-{package['Version']}.dist-info")
    folder.mkdir()
    (folder / "METADATA").write_text(text, encoding="utf-8")
    return folder.name


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    raise RuntimeError("only the source is wanted, no wheel")
