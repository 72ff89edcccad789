# The operator's image: Python, its pinned requirements, the operator. No shell script, no build tools, not root.
# psycopg's wheel brings libpq and OpenSSL with it: nothing is installed by apt.
# `make node` builds it with buildah and runs it on a real kubelet; no image has been published yet.
FROM python:3.11-slim AS requirements
COPY requirements/operator.txt /build/requirements.txt
RUN python -m venv /venv && /venv/bin/pip install --no-cache-dir --require-hashes --only-binary :all: -r /build/requirements.txt

FROM requirements AS build
COPY pyproject.toml README.md LICENSE /build/
COPY operator /build/operator
# hatchling is fetched for this one step and does not reach the image.
RUN /venv/bin/pip install --no-cache-dir --no-deps --prefix /penstock /build

FROM requirements AS environment
RUN /venv/bin/pip uninstall -y -q pip

# The requirements are a layer of their own, which versions of the operator share.
FROM python:3.11-slim
LABEL org.opencontainers.image.title="penstock" \
      org.opencontainers.image.description="A Kubernetes operator for AWS databases that answers for their outcomes" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=environment /venv /venv
COPY --from=build /penstock /venv
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["penstock"]
CMD ["run"]
