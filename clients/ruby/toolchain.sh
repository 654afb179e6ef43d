# Sourced by the scripts beside it: what they need, and where from.

# From Debian 12: Ruby 3.1, grpc 1.51, google-protobuf 3.21. Elsewhere: a Ruby with the gems that the gemspec names.
RUNTIME_PACKAGES=(ruby ruby-grpc ruby-google-protobuf ruby-googleapis-common-protos-types ruby-minitest)
LINTER_PACKAGES=(rubocop)
GENERATOR_PACKAGES=(ruby-grpc-tools)
# What the committed stubs were written with, and what .rubocop.yml was written for.
PROTOC_VERSION="libprotoc 3.21.12"
RUBOCOP_VERSION="1.39.0"

HERE="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
TOP="$(cd "$HERE/../.." && pwd)"

# Installs Debian packages where that is possible: apt_install NAME...
apt_install() {
    [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null || return 1
    local apt=(apt-get -qq -o DPkg::Lock::Timeout=300)
    "${apt[@]}" install --no-install-recommends "$@" >&2 || { "${apt[@]}" update >&2 &&
        "${apt[@]}" install --no-install-recommends "$@" >&2; }
}

# Takes a command that shows whether something is there, a word for it, and the packages that it is in.
need() {
    local shown="$1" what="$2"
    shift 2
    bash -c "$shown" >/dev/null 2>&1 && return
    apt_install "$@" || true
    bash -c "$shown" >/dev/null 2>&1 && return
    echo "the Ruby client needs $what; on Debian 12: apt-get install $*" >&2
    exit 1
}

# The gemspec is the one place that says which gems in which versions.
need_runtime() {
    need "ruby $HERE/tool/check_gems.rb" "Ruby 3.1 or newer with the gems of sessiongateway.gemspec" "${RUNTIME_PACKAGES[@]}"
}

need_linter() {
    need "[[ \$(rubocop --version) == $RUBOCOP_VERSION ]]" "rubocop $RUBOCOP_VERSION" "${LINTER_PACKAGES[@]}"
}

need_generator() {
    need "[[ \$(grpc_tools_ruby_protoc --version) == '$PROTOC_VERSION' ]]" \
        "grpc_tools_ruby_protoc with $PROTOC_VERSION" "${GENERATOR_PACKAGES[@]}"
}
