// Doorward as a target of the script: one server per part, each with an application whose door is set like the reference.

import { spawnSync } from 'node:child_process'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { engine, startDoorward } from '../lib/doorward.mjs'
import { send } from '../lib/http.mjs'
import { startMailbox } from './mailbox.mjs'
import { PARTS, PLUGINS, SECRET, TRUSTED } from './parts.mjs'

const DAY = 86_400_000
const python = process.env.E2E_PYTHON ?? 'python3'

/**
 * Runs statements in the server's database, for what no call may do, such as to let time pass. The server is stopped meanwhile:
 * it knows more than what is in the rows.
 */
async function sql(door, ...statements) {
  await door.stop()
  try {
    for (const statement of statements) write(door, statement)
  } finally {
    await door.start()
  }
}

function write(door, statement) {
  if (engine === 'postgres') {
    const result = spawnSync('psql', ['-X', '-v', 'ON_ERROR_STOP=1', '-At', '-d', door.env.DOORWARD_DATABASE_URL, '-c', statement], { encoding: 'utf8' })
    if (result.status !== 0) throw new Error(`psql: ${result.stderr}`)
    return
  }
  const script = 'import sqlite3, sys\nc = sqlite3.connect(sys.argv[1], timeout=10)\nc.execute(sys.argv[2])\nc.commit()'
  const file = path.join(door.dataFolder, 'doorward.db')
  const result = spawnSync(python, ['-c', script, file, statement], { encoding: 'utf8' })
  if (result.status !== 0) throw new Error(`sqlite: ${result.stderr}`)
}

const quoted = (text) => `'${String(text).replaceAll("'", "''")}'`
const sessionsOf = (email) => `SELECT sessions.id FROM sessions JOIN users ON users.id = sessions.user_id WHERE lower(users.email) = lower(${quoted(email)})`

const CONTROLS = {
  async role(door, { email, role }) {
    await door.cli('app-auth', 'role', 'app', email, role)
    // The running server takes over what the command line changed within a moment.
    await sleep(300)
  },
  async age(door, { email, days, leaves }) {
    const changes = days ? `created_at = created_at - ${days * DAY}, auth_at = auth_at - ${days * DAY}, expires_at = expires_at - ${days * DAY}` : `expires_at = ${Date.now() + leaves * 1000}`
    await sql(door, `UPDATE sessions SET ${changes} WHERE id IN (${sessionsOf(email)})`)
  },
  async expire(door) {
    const past = Date.now() - 1000
    const content = engine === 'postgres' ? `jsonb_set(content::jsonb, '{expires}', '${past}')` : `json_set(content, '$.expires', ${past})`
    await sql(door, `UPDATE proofs SET expires_at = ${past}`, `UPDATE app_records SET content = ${content} WHERE kind = 'invitation'`)
  },
}

const yes = (value) => (value ? 'yes' : 'no')

/** The door of a part, opened by the command line. */
async function openDoor(door, part, { idp, version }) {
  await door.cli('application', 'create', 'app', '--name', 'Harbour', '--allow-everyone')
  const options = {
    'base-url': `${part.publicUrl ?? door.url}/api/auth`,
    'sign-up': yes(!part.disableSignUp),
    'require-verification': yes(part.requireEmailVerification),
    'verify-on-sign-up': yes(part.requireEmailVerification),
    'verify-on-sign-in': yes(part.requireEmailVerification),
    'reset-password': yes(!part.noReset),
    'revoke-on-reset': 'no',
    'change-email': yes(!part.noChangeEmail),
    'delete-user': yes(!part.noDelete),
    'rate-limit': yes(part.rateLimit),
    'delete-by-mail': yes(part.deleteMail),
    verification: yes(!part.noVerification),
  }
  const flags = Object.entries(options).flatMap(([name, value]) => [`--${name}`, value])
  for (const origin of TRUSTED) flags.push('--trusted-origin', origin)
  for (const plugin of part.plugins ?? PLUGINS) flags.push('--plugin', plugin)
  await door.cli('app-auth', 'set', 'app', ...flags, '--secret-stdin', { input: SECRET })
  if (part.plugins) return
  const issuer = ['--issuer', idp.issuer]
  const urls = ['--authorization-url', `${idp.url}/plain/authorize`, '--token-url', `${idp.url}/plain/token`, '--userinfo-url', `${idp.url}/plain/userinfo`]
  for (const [name, ...more] of [
    ['authentik', ...issuer],
    ['trusted', ...issuer, '--trusted'],
    ['asked', ...issuer, '--explicit-sign-up'],
    ['closed', ...issuer, '--closed'],
    // 1.6 has PKCE only when it is asked for.
    ['plain', ...urls, ...(version === 'v16' ? ['--no-pkce'] : [])],
  ]) {
    const scopes = ['openid', 'profile', 'email'].flatMap((scope) => ['--scope', scope])
    const known = ['--client-id', 'app', '--client-secret-stdin', ...scopes]
    await door.cli('app-auth', 'provider', 'app', name, ...known, ...more, { input: 'app-secret-app-secret-app-secret' })
  }
}

/** Starts Doorward with the parts of the comparison. */
export async function startOurs({ idp, version, parts = Object.keys(PARTS) } = {}) {
  const mailboxes = {}
  const doors = {}
  const at = {}
  for (const name of parts) {
    const part = PARTS[name]
    const mailbox = (mailboxes[name] = await startMailbox())
    const door = (doors[name] = await startDoorward({
      env: {
        DOORWARD_MAIL_HOST: '127.0.0.1',
        DOORWARD_MAIL_PORT: String(mailbox.port),
        DOORWARD_MAIL_SECURITY: 'none',
        DOORWARD_MAIL_FROM: 'Harbour <id@example.org>',
        DOORWARD_TRUSTED_PROXIES: '127.0.0.1',
      },
    }))
    await openDoor(door, part, { idp, version })
    at[name] = { url: door.url, publicUrl: part.publicUrl ?? door.url, basePath: '/api/auth' }
    await served(door, at[name])
  }
  return {
    name: 'Doorward',
    parts: at,
    doors,
    can: (op) => op in CONTROLS,
    control: (part, op, args) => CONTROLS[op](doors[part], args ?? {}),
    mails: async (part) => mailboxes[part].take(),
    async stop() {
      for (const door of Object.values(doors)) await door.stop()
      for (const mailbox of Object.values(mailboxes)) await mailbox.close()
    },
  }
}

async function served(door, { publicUrl }) {
  let answer
  for (const until = Date.now() + 5000; Date.now() < until; await sleep(50)) {
    answer = await send(`${door.url}/api/auth/ok`, { headers: { host: new URL(publicUrl).host } })
    if (answer.status === 200) return
  }
  throw new Error(`the door was not served within 5 s\n${answer}`)
}
