"""The version, which the changelog's newest entry has."""

VERSION = "0.7.0"
