#!/bin/sh
# Make the broker's password file, and one file per user with the password in clear.
#
#   make-passwords.sh PASSWD_FILE SECRETS_DIR USER...
#
# New users get a random password; users that have a file in SECRETS_DIR keep theirs.
# Passwords never stand on a command line. Give each user its file, then delete it here.
set -eu
umask 077

if [ "$#" -lt 3 ]; then
    echo "usage: make-passwords.sh PASSWD_FILE SECRETS_DIR USER..." >&2
    exit 2
fi
passwd_file=$1
secrets=$2
shift 2

command -v mosquitto_passwd >/dev/null || {
    echo "mosquitto_passwd is missing (Debian: mosquitto)" >&2
    exit 3
}
mkdir -p "$secrets"
fresh=$(mktemp "$passwd_file.XXXXXX")
trap 'rm -f "$fresh"' EXIT

for user in "$@"; do
    case $user in
        *[!A-Za-z0-9_-]* | "")
            echo "not a user name (letters, digits, _ and - only): $user" >&2
            exit 2
            ;;
    esac
    secret=$secrets/mqtt-$user.password
    if [ ! -s "$secret" ]; then
        head -c 24 /dev/urandom | base64 | tr '+/' '-_' >"$secret"
    fi
    printf '%s:%s\n' "$user" "$(cat "$secret")" >>"$fresh"
done

# -U replaces the clear passwords in the file by salted hashes
mosquitto_passwd -U "$fresh"
mv "$fresh" "$passwd_file"
trap - EXIT
