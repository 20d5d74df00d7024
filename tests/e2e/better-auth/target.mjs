// The real better-auth as a target of the script. A target is `{ name, parts: { main: { url, publicUrl, basePath } }, can(op),
// control(part, op, args), mails(part), stop() }`; the one for Doorward is in doorward-target.mjs.

import { spawn } from 'node:child_process'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { send } from '../lib/http.mjs'

export const VERSIONS = { v17: '1.7.25', v16: '1.6.34' }

const inherited = Object.fromEntries(['PATH', 'HOME', 'LANG', 'TMPDIR'].filter((name) => process.env[name]).map((name) => [name, process.env[name]]))

/** Starts the reference server in a process of its own, which ends with this one. */
export async function startReference(version, { idp, parts = [] } = {}) {
  const script = path.join(import.meta.dirname, 'reference.mjs')
  const child = spawn(process.execPath, [script, version, JSON.stringify({ idp: idp?.url }), ...parts], {
    env: inherited,
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  let noise = ''
  child.stderr.on('data', (chunk) => (noise += chunk))
  let told = ''
  for await (const chunk of child.stdout) {
    told += chunk
    if (told.includes('\n')) break
  }
  if (!told.includes('\n')) throw new Error(`the reference server ${version} did not start: ${noise.slice(-2000)}`)
  const { control, parts: started } = JSON.parse(told)
  for (const part of Object.values(started)) part.basePath = '/api/auth'

  const ask = async (part, op, args = {}) => (await send(control, { json: { part, op, ...args } })).json()
  return {
    name: `better-auth ${VERSIONS[version]}`,
    version,
    parts: started,
    noise: () => noise,
    can: () => true,
    control: ask,
    mails: (part) => ask(part, 'mails'),
    async stop() {
      child.stdin.end()
      child.kill('SIGTERM')
      await Promise.race([new Promise((resolve) => child.on('exit', resolve)), sleep(3000)])
      child.kill('SIGKILL')
    },
  }
}
