// Authlib (PyPI, over requests) as a client: python/authlib_client.py holds the tests, this file prepares the server and
// reports them one by one.

import { spawn } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { ALICE, startDoorward } from '../lib/doorward.mjs'
import { assert } from '../lib/expect.mjs'

const REDIRECT = 'http://127.0.0.1:9/callback'
const script = fileURLToPath(new URL('../python/authlib_client.py', import.meta.url))

/** Runs the script; returns its result lines and what it wrote to stderr. */
function authlib(settings) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.env.E2E_PYTHON ?? 'python3', [script], {
      env: { PATH: process.env.PATH, NO_PROXY: '*', AUTHLIB_INSECURE_TRANSPORT: '1', PYTHONDONTWRITEBYTECODE: '1' },
    })
    let stdout = ''
    let stderr = ''
    child.stdout.on('data', (chunk) => (stdout += chunk))
    child.stderr.on('data', (chunk) => (stderr += chunk))
    child.on('error', reject)
    child.on('close', (status) => resolve({ status, stderr, lines: stdout.trim().split('\n').filter(Boolean).map((line) => JSON.parse(line)) }))
    child.stdin.end(JSON.stringify(settings))
  })
}

test('Authlib', async (t) => {
  const door = await startDoorward()
  t.after(() => door.stop())
  await door.addPeople()
  const register = (slug, ...options) => door.addApplication(slug, '--redirect-uri', REDIRECT, '--allow-group', 'staff', ...options)

  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const keys = path.join(door.dataFolder, 'authlib-jwks.json')
  fs.writeFileSync(keys, JSON.stringify({ keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'authlib', alg: 'RS256', use: 'sig' }] }))

  const settings = {
    url: door.url,
    redirect_uri: REDIRECT,
    person: ALICE,
    basic: await register('authlib-basic', '--confidential', '--grant', 'authorization_code', '--grant', 'refresh_token', '--grant', 'client_credentials'),
    post: await register('authlib-post', '--confidential', '--auth-method', 'client_secret_post'),
    public: await register('authlib-public', '--public'),
    machine: await register('authlib-machine', '--confidential', '--grant', 'client_credentials'),
    assertion: {
      ...(await register('authlib-assertion', '--confidential', '--auth-method', 'private_key_jwt', '--jwks-file', keys)),
      kid: 'authlib',
      private_key: privateKey.export({ type: 'pkcs8', format: 'pem' }),
    },
  }
  const { status, stderr, lines } = await authlib(settings)
  assert.equal(status, 0, `the script ended with ${status}:\n${stderr.slice(-3000)}`)
  assert.ok(lines.length > 0, 'the script ran no test')
  for (const line of lines) await t.test(`Authlib: ${line.name}`, () => assert.ok(line.ok, line.reason))
})
