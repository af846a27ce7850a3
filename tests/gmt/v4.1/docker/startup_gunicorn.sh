#!/bin/sh
exec python3 -m gunicorn --workers=2 --worker-tmp-dir=/dev/shm --worker-class=uvicorn_worker.UvicornWorker \
    --bind=unix:/tmp/gmt-sockets/api.sock -m 007 --user=www-data --chdir=/var/www/green-metrics-tool/api main:app
