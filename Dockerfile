# fotasim in a container: the command line, the mock cloud, Locust's master and its workers.
#
#   docker build -t fotasim .
#   docker run --rm -v "$PWD:/work" fotasim run scenarios/quickstart.yaml
FROM python:3.12-slim AS build
# hdrhistogram has no wheel for aarch64 and is compiled there
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY sim sim
COPY fotasim fotasim
COPY scenarios scenarios
RUN python -m venv /opt/fotasim && /opt/fotasim/bin/pip install --no-cache-dir -c constraints.txt '.[cloud,postgres,load]'

FROM python:3.12-slim
COPY --from=build /opt/fotasim /opt/fotasim
RUN useradd --create-home fotasim && mkdir /work && chown fotasim /work
USER fotasim
WORKDIR /work
ENV PATH=/opt/fotasim/bin:$PATH
ENTRYPOINT ["fotasim"]
CMD ["--help"]
