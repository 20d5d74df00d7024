#!/bin/sh
# Prints what mod_auth_openidc handed to the application.
printf 'Content-Type: text/plain; charset=utf-8\r\n\r\n'
env | grep -E '^(REMOTE_USER|OIDC_|HTTP_OIDC_)' | sort
