# What scripts here share; they source it from the root of the project.
# shellcheck shell=bash

# Test binaries and the program that tests build carry no revision: asking git
# for one fails in a checkout that belongs to another user.
export GOFLAGS="${GOFLAGS:-} -buildvcs=false"

say() { printf '\n== %s\n' "$*"; }
die() { printf 'scripts/%s: %s\n' "$(basename "$0")" "$*" >&2; exit 1; }

# need_go stops unless go is there and as new as go.mod asks for.
need_go() {
  local want have
  want=$(awk '$1 == "go" { print $2 }' go.mod)
  command -v go >/dev/null ||
    die "go is not installed. Install Go $want or newer (https://go.dev/dl/) and put its bin folder on PATH."
  have=$(go env GOVERSION) ||
    die "this go does not accept go.mod (see above). Install Go $want or newer (https://go.dev/dl/)."
  have=${have#go}
  have=${have%% *} # an experiment's name may follow the number
  [[ $(printf '%s\n%s\n' "$want" "$have" | sort -V | head -n 1) == "$want" ]] ||
    die "go is $have, go.mod asks for $want. Install Go $want or newer (https://go.dev/dl/)."
}

# need_debian PACKAGE COMMAND makes COMMAND available, from Debian's PACKAGE when
# it is missing. COMMAND is a command's name, or the path of a file (a pattern will do).
apt_updated=
need_debian() {
  local package=$1 command=$2
  has "$command" && return
  if [[ $(id -u) != 0 ]] || ! command -v apt-get >/dev/null; then
    die "$command is missing. Install Debian's package $package (as root: apt-get install $package) or your system's equivalent, and run this again."
  fi
  say "installing $package, for $command"
  if [[ -z $apt_updated ]]; then
    apt-get update -qq || die "apt-get update failed; $package cannot be installed."
    apt_updated=yes
  fi
  # A file of ours that a package has too (see need_postgresql) stays as it is.
  (
    no_services
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq -o Dpkg::Use-Pty=0 -o Dpkg::Options::=--force-confold --no-install-recommends "$package"
  ) || die "apt-get install $package failed; install it by hand and run this again."
  has "$command" || die "$package is installed, and $command is still missing."
}

# no_services keeps packages from starting their services until the shell that
# calls it ends: whoever needs one here starts it itself.
no_services() {
  [[ ! -e /usr/sbin/policy-rc.d ]] || return 0
  printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
  chmod +x /usr/sbin/policy-rc.d
  trap 'rm -f /usr/sbin/policy-rc.d' EXIT
}

# has tells whether there is a command, or a file of a pattern.
has() { command -v "$1" >/dev/null || compgen -G "$1" >/dev/null; }

# The tests start PostgreSQL themselves. Debian's package would start a server
# of its own, and keep it: it is told not to make one.
need_postgresql() {
  has '/usr/lib/postgresql/*/bin/initdb' || has initdb && return
  if [[ $(id -u) == 0 && ! -e /etc/postgresql-common/createcluster.conf ]] && command -v apt-get >/dev/null; then
    mkdir -p /etc/postgresql-common
    echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
  fi
  need_debian postgresql '/usr/lib/postgresql/*/bin/initdb'
}
