// Writes down what the real server says: `node record.mjs v17 [FILE [SCENARIO]]`. Plays every scenario against two servers of
// the same version and says where they differ, which they must not: then the masks are right.

import fs from 'node:fs'
import { judge, title } from './compare.mjs'
import { startIdp } from './idp.mjs'
import { scenarios } from './scenarios/index.mjs'
import { play } from './talk.mjs'
import { VERSIONS, startReference } from './target.mjs'

const [version = 'v17', file, only] = process.argv.slice(2)
const packages = await import(`./${version}/packages.mjs`)
const idp = await startIdp()
const [left, right] = [await startReference(version, { idp }), await startReference(version, { idp })]

function written(entry, number) {
  const lines = [`### ${number}. ${title(entry)}${entry.via && entry.via !== 'raw' ? ` — client: ${entry.via}` : ''}`, '']
  if (entry.failure) return [...lines, '```', String(entry.failure.stack), '```', ''].join('\n')
  if (!entry.request) return [...lines, '```', `mail: ${entry.mail ? `${entry.mail.kind}\n${entry.mail.text}` : 'none'}`, '```', ''].join('\n')
  const { request, response } = entry
  const { 'user-agent': agent, 'content-length': size, accept, ...headers } = request.headers
  lines.push('```http', `${request.method} ${request.path}`)
  for (const [name, value] of Object.entries(headers)) lines.push(`${name}: ${value}`)
  if (request.body !== undefined) lines.push('', String(request.body))
  lines.push('', `-> ${response.status}`)
  for (const [name, value] of Object.entries(response.headers)) lines.push(`${name}: ${value}`)
  for (const line of response.cookies) lines.push(`set-cookie: ${line}`)
  const text = response.json !== undefined ? JSON.stringify(response.json, null, response.text.length > 300 ? 1 : 0) : response.text
  if (text !== '') lines.push('', text.length > 6000 ? `${text.slice(0, 6000)}… (${text.length})` : text)
  return [...lines, '```', ''].join('\n')
}

const out = [`# What better-auth ${VERSIONS[version]} says`, '', `secret: doorward-test-secret-0123456789abcdef, ${new Date().toISOString()}`, '']
let calls = 0
let wrong = 0
for (const scenario of scenarios) {
  if (only && !scenario.name.includes(only)) continue
  const settings = { version, packages, idp }
  const wanted = await play(scenario, { ...settings, target: left })
  const got = await play(scenario, { ...settings, target: right })
  out.push(`## ${scenario.name} (part ${scenario.part})`, '', ...wanted.map((entry) => written(entry, (calls += 1))))
  const found = judge({ scenario: scenario.name, version, wanted, got, faults: true })
  wrong += found.wrong.length
  console.log(`${found.wrong.length ? 'DIFFERS' : 'equal  '} ${scenario.name}: ${wanted.length} calls`)
  for (const one of found.wrong) console.log(`  ${one.replaceAll('\n', '\n  ')}`)
}
for (const part of Object.keys(left.parts)) {
  const errors = await left.control(part, 'errors')
  if (errors.length) out.push(`## Errors that the server logged in part ${part}`, '', ...errors.map((one) => `- ${one.split('\n')[0]}`), '')
}
if (file) fs.writeFileSync(file, out.join('\n'))
console.log(`${VERSIONS[version]}: ${calls} calls, ${wrong} differ`)
await Promise.all([left.stop(), right.stop(), idp.close()])
process.exit(wrong ? 1 : 0)
