"""The version, which the changelog's newest entry has."""

VERSION = "0.9.0"
