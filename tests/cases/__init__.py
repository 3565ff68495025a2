"""What users brought: a case for each public bug report, and which tests hold it."""
