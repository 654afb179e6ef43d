# Sourced by the scripts beside it: where the tools are, and which versions of them.

GO_NEEDED="1.25"
# The generator of messages is the protobuf runtime's own, in the version of go.mod.
PROTOC_GEN_GO="google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.12"
PROTOC_GEN_GO_GRPC="google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.6.2"
STATICCHECK="honnef.co/go/tools/cmd/staticcheck@v0.7.0"

HERE="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
TOP="$(cd "$HERE/../.." && pwd)"
TOOLS="$HERE/.tools/bin"

# One job at a time and no VCS stamp: small machines and fresh clones build the same program.
export GOFLAGS="${GOFLAGS:--p=1 -buildvcs=false}"

need_go() {
    if ! command -v go >/dev/null; then
        echo "the Go client needs Go $GO_NEEDED or newer, and there is no 'go' in PATH" >&2
        exit 1
    fi
    local found
    found="$(go env GOVERSION)"
    if [[ "$(printf '%s\n' "$GO_NEEDED" "${found#go}" | sort -V | head -n 1)" != "$GO_NEEDED" ]]; then
        echo "the Go client needs Go $GO_NEEDED or newer, and 'go' is $found" >&2
        exit 1
    fi
}

# Builds a tool at its pinned version, unless that very version is there.
need_tool() {
    local package="$1" name
    name="${package%@*}" && name="${name##*/}"
    if [[ "$(cat "$TOOLS/$name.version" 2>/dev/null)" != "$package" || ! -x "$TOOLS/$name" ]]; then
        echo "building $package" >&2
        GOBIN="$TOOLS" go install "$package"
        printf '%s\n' "$package" >"$TOOLS/$name.version"
    fi
}
