# Sourced by the scripts beside it: finds the toolchain, and gives them `maven`.

for program in java javac mvn; do
    if ! command -v "$program" >/dev/null; then
        echo "clients/java: $program is missing: JDK 17 or newer and Maven 3.8 or newer are needed;" \
            'on Debian or Ubuntu install maven and openjdk-17-jdk-headless' >&2
        exit 1
    fi
done
version=$(javac -version 2>&1 | sed -E 's/^javac ([0-9]+).*/\1/')
if ((version < 17)); then
    echo "clients/java: JDK 17 or newer is needed, javac is of $version" >&2
    exit 1
fi

maven() {
    if [[ -t 1 ]]; then
        mvn -B -ntp -T1 "$@"
    else
        # Some versions reset the colours of a terminal at their end, on both outputs and whatever these are.
        { mvn -B -ntp -T1 "$@" 2>&1 >&3 | uncoloured >&2; } 3>&1 | uncoloured
    fi
}

uncoloured() {
    sed $'s/\e\\[[0-9;]*m//g'
}
