# visavis on a server: a source sends its camera here by WHIP, viewers get the avatar by WHEP.
#
#   docker build -t visavis .
#   docker run --rm --network host -v visavis:/data visavis
#
# It prints one line of JSON with the page's link, the invitation and the two tokens; docs/CALLS.md says where they go.
# Media take UDP ports of their own choice, hence the host's network. Avatars lie in the volume:
#
#   docker run --rm -v visavis:/data -v "$PWD:/photos:ro" visavis enroll /photos/ada.jpg --name ada --shows character
#   docker run --rm --network host -v visavis:/data visavis call ada --camera whip --listen 0.0.0.0:8443 --no-open --json

FROM python:3.12-slim-bookworm AS wheel
WORKDIR /source
COPY . .
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheel .

FROM python:3.12-slim-bookworm
# hadolint ignore=DL3008 # what Debian has mended is wanted
RUN apt-get update \
    && apt-get install -y --no-install-recommends libegl1 libgles2 libgl1 libglib2.0-0 libxcb1 \
    && rm -rf /var/lib/apt/lists/*
COPY constraints.txt /tmp/constraints.txt
RUN --mount=type=bind,from=wheel,source=/wheel,target=/wheel \
    pip install --no-cache-dir --constraint /tmp/constraints.txt "$(echo /wheel/visavis-*.whl)[call,c2pa]" \
    && rm /tmp/constraints.txt
ENV VISAVIS_HOME=/data VISAVIS_CACHE=/var/cache/visavis
RUN useradd --uid 10001 --create-home visavis \
    && install -d -o visavis -g visavis -m 700 /data /var/cache/visavis
USER 10001
RUN ["python", "-m", "avatar.tracking.model_asset"]
VOLUME /data
EXPOSE 8443
STOPSIGNAL SIGINT
ENTRYPOINT ["visavis"]
CMD ["call", "mona_lisa", "--camera", "whip", "--listen", "0.0.0.0:8443", "--no-open", "--json"]
