# One image a role, each with what that role needs and nothing else:
#   docker build --build-arg EXTRAS=registry -t tunebus-registry .
# Roles are the extras of pyproject.toml: registry, trainer, evaluator, tracking, ui. PIP_ARGS chooses another torch build.
ARG PYTHON=3.13
FROM python:${PYTHON}-slim AS build
ARG EXTRAS=registry
ARG PIP_ARGS=""
WORKDIR /src
COPY pyproject.toml setup.py constraints.txt README.md LICENSE ./
COPY contracts contracts
COPY projections projections
COPY services services
COPY ui ui
RUN python -m venv /opt/tunebus \
 && /opt/tunebus/bin/pip install --no-cache-dir -c constraints.txt ${PIP_ARGS} ".[${EXTRAS}]"

FROM python:${PYTHON}-slim
RUN useradd --create-home --uid 10001 tunebus \
 && install -d -o tunebus -g tunebus /var/lib/tunebus /var/lib/tunebus-artifacts /data
COPY --from=build /opt/tunebus /opt/tunebus
ENV PATH=/opt/tunebus/bin:$PATH PYTHONUNBUFFERED=1 TUNEBUS_HOME=/var/lib/tunebus
USER tunebus
WORKDIR /var/lib/tunebus
