# Sourced by the scripts beside it: ends them with a clear message where the toolchain is missing or too old.
oldest=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
if ! command -v cargo >/dev/null || ! command -v rustc >/dev/null; then
    echo "clients/rust: Rust $oldest or newer is needed (cargo and rustc on the PATH); see https://rustup.rs" >&2
    exit 1
fi
found=$(rustc --version | cut -d ' ' -f 2)
if [[ $(printf '%s\n' "$oldest" "${found%%-*}" | sort -V | head -n 1) != "$oldest" ]]; then
    echo "clients/rust: Rust $oldest or newer is needed, $found was found" >&2
    exit 1
fi
