# The explorer, hosted. docs/installing.md says how to build it, run it and let others in.

FROM python:3.11-slim AS build
WORKDIR /src
# torch first and for processors: the default build for Linux brings gigabytes of CUDA libraries.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN python -m venv /opt/interp \
    && /opt/interp/bin/pip install --no-cache-dir --index-url "$TORCH_INDEX" torch==2.13.0
COPY pyproject.toml README.md LICENSE ./
COPY interp interp
COPY probes probes
COPY apps apps
RUN /opt/interp/bin/pip install --no-cache-dir .

FROM python:3.11-slim
COPY --from=build /opt/interp /opt/interp
# Root owns the package and its models, and the explorer runs as somebody else: it can change none.
RUN useradd --uid 10001 --create-home interp
USER interp
WORKDIR /home/interp
# Outside a container the explorer listens on this machine alone. In it, the port is reached only
# as far as it is published, so it listens on every interface, and answers to these names (separated
# by spaces) and no others.
ENV PATH="/opt/interp/bin:$PATH" \
    PYTHONDONTWRITEBYTECODE=1 \
    HF_HUB_OFFLINE=1 \
    STREAMLIT_SERVER_ADDRESS=0.0.0.0 \
    STREAMLIT_SERVER_ALLOWED_HOSTS="localhost 127.0.0.1"
EXPOSE 8501
HEALTHCHECK --interval=30s --timeout=5s --start-period=90s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8501/_stcore/health', timeout=4)"]
CMD ["interp", "explore", "--headless"]
