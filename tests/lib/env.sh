# Sourced by the test commands: where things are, and what is installed on first use.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$root/target}
export TAILRACE_BIN=${TAILRACE_BIN:-$CARGO_TARGET_DIR/release}
# logrotate, for those who are not root; systemd-journal-remote
export PATH=$PATH:/usr/sbin:/sbin:/lib/systemd
venv=$CARGO_TARGET_DIR/test-venv

# Installs a Debian package if the command that it brings is missing and this user may; fails if it is still missing.
need() { # COMMAND PACKAGE
  command -v "$1" >/dev/null && return
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return
  if [ -z "${apt_updated:-}" ]; then
    apt-get update -qq || return
    apt_updated=yes
  fi
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$2" >/dev/null
  command -v "$1" >/dev/null
}

# The same for what a package brings for compilers.
need_header() { # FILE PACKAGE
  [ -e "/usr/include/$1" ] && return
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$2" >/dev/null
  [ -e "/usr/include/$1" ]
}

# syslog-ng, which Debian does not let be installed beside rsyslog: it is unpacked, and what it depends on installed.
need_syslog_ng() {
  local place=$CARGO_TARGET_DIR/test-debian packages=(syslog-ng-core syslog-ng-mod-rdkafka) depends
  PATH=$PATH:$place/usr/sbin
  command -v syslog-ng >/dev/null && return
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return
  depends=$(apt-cache depends --important "${packages[@]}" | sed -n 's/^  Depends: //p' | grep -v ^syslog-ng | sort -u)
  # shellcheck disable=SC2086
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $depends >/dev/null || return
  mkdir -p "$place" && (cd "$place" && apt-get download -qq "${packages[@]}" && for package in *.deb; do
    dpkg-deb --extract "$package" .
  done) && command -v syslog-ng >/dev/null
}

# A Python with the clients that the tests read and write with.
test_python() {
  local wanted=$root/tests/requirements.txt
  cmp -s "$wanted" "$venv/installed.txt" && "$venv/bin/python" -c '' && return
  need python3 python3-venv || return
  if ! python3 -c 'import ensurepip' 2>/dev/null; then
    # The interpreter is there, what makes environments is a package of its own.
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return
    apt-get update -qq && apt-get install -y -qq python3-venv >/dev/null || return
  fi
  python3 -m venv --clear "$venv" || return
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$wanted" || return
  cp "$wanted" "$venv/installed.txt"
}

# The binaries, all in one place.
build_binaries() {
  cargo build --quiet --release --locked --workspace --manifest-path "$root/Cargo.toml"
}
