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

# Cargo.pins is Cargo.lock without the name of the registry, which is the machine's own affair: put it in again.
if [[ ! -e Cargo.lock || Cargo.pins -nt Cargo.lock ]]; then
    probe=$(mktemp -d)
    mkdir "$probe/src"
    touch "$probe/src/lib.rs"
    printf '[package]\nname = "probe"\nversion = "0.0.0"\nedition = "2024"\n[dependencies]\nfastrand = "2"\n' >"$probe/Cargo.toml"
    cargo generate-lockfile --quiet --manifest-path "$probe/Cargo.toml"
    # How cargo names the registry that it has.
    source=$(grep -m 1 '^source = ' "$probe/Cargo.lock")
    rm -r "$probe"
    sed "s|^checksum = |$source\n&|" Cargo.pins >Cargo.lock.new
    mv Cargo.lock.new Cargo.lock
    unset probe source
fi
