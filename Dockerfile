# One image for the application, the workers and Locust: they differ in their command.
FROM python:3.11.13-slim-bookworm

RUN useradd --create-home bench
WORKDIR /srv/asyncdb-bench
COPY requirements.lock .
RUN python -m pip install --no-cache-dir --no-deps --require-hashes --requirement requirements.lock
COPY . .
# the root is read-only where it runs, see docker-compose.yml
ENV PYTHONPATH=/srv/asyncdb-bench PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER bench
