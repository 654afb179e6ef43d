"""The example file of docs/configuration.md, which tests read as the gateway would."""

EXAMPLE = """\
data_dir = "/var/lib/session-gateway"

[apps]
kv = "/srv/apps/kv"
"acme/model@2" = "/srv/apps/model"

[server]
listen = "0.0.0.0:50151"
tls_cert = "/etc/session-gateway/server.pem"
tls_key = "/etc/session-gateway/server.key"
client_ca = "/etc/session-gateway/clients.pem"
drain_grace = 60

[auth]
certificates_file = "/etc/session-gateway/certificates.toml"
jwt_issuer = "https://login.example.org/"
jwt_audience = "session-gateway"
jwt_jwks_file = "/etc/session-gateway/jwks.json"

[sessions]
retention = 3600
queue_size = 16

[workers]
pool = "ray"
max_workers = 64
min_idle = 4
queue_time = 10

[store]
url = "redis://sgw@127.0.0.1:6379/0"
password_file = "/etc/session-gateway/redis.password"

[cluster]
listen = "10.0.0.1:50152"

[ray]
address = "10.0.0.5:6379"

[quotas]
live_sessions = 100
calls_per_second = 200
principals."key_7d4k2mxq5rjzc" = { calls_per_second = 2000 }

[metrics]
address = ":9464"

[tracing]
endpoint = "grpc://127.0.0.1:4317"
sample_ratio = 0.1

[log]
format = "json"
"""
