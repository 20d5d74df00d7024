// Compares what two targets said, entry by entry, and sorts out the differences that are known and meant.

import fs from 'node:fs'
import path from 'node:path'

const FILE = path.join(import.meta.dirname, 'differences.json')

/** Only told by one side when it matters: the other may always add these. */
const OPTIONAL = new Set(['cache-control', 'pragma'])

function leaves(value, at, out = new Map()) {
  if (value && typeof value === 'object' && Object.keys(value).length) {
    for (const [name, one] of Object.entries(value)) leaves(one, at ? `${at}.${name}` : name, out)
  } else {
    out.set(at, JSON.stringify(value))
  }
  return out
}

/** The differences of two masked entries as `{ field, wanted, got }`. */
export function differences(wanted, got) {
  const left = leaves(wanted, '')
  const right = leaves(got, '')
  const found = []
  for (const field of new Set([...left.keys(), ...right.keys()])) {
    const [one, other] = [left.get(field), right.get(field)]
    if (one === other) continue
    if (one === undefined && OPTIONAL.has(field)) continue
    found.push({ field, wanted: one, got: other })
  }
  return found
}

/** One line for an entry, so that a reader finds it. */
export function title({ about, via, request }) {
  if (!request) return about
  return `${request.method} ${request.path.split('?')[0]}${about ? ` (${about})` : via && via !== 'raw' ? ` (${via})` : ''}`
}

/**
 * The known differences: `{ scenario?, call?, field, version?, wanted?, got?, reason }`, each a pattern on the whole text. A
 * difference on a fault of the server is never known.
 */
export class Known {
  constructor(list = JSON.parse(fs.readFileSync(FILE, 'utf8'))) {
    const pattern = (text) => (text === undefined ? undefined : new RegExp(`^(?:${text})$`, 's'))
    this.list = list.map((one) => {
      if (!one.reason || !one.field) throw new Error(`differences.json: an entry needs a field and a reason: ${JSON.stringify(one)}`)
      const tests = Object.fromEntries(['scenario', 'call', 'field', 'version', 'wanted', 'got'].map((name) => [name, pattern(one[name])]))
      return { ...one, tests, used: 0 }
    })
  }

  find(seen) {
    const found = this.list.find(({ tests }) => Object.entries(tests).every(([name, test]) => !test || test.test(seen[name] ?? '')))
    if (found) found.used += 1
    return found
  }
}

/**
 * What is wrong between two recordings of one scenario, as text, and how many differences were known. `faults: true` lets the
 * other side answer with a fault: the reference does, now and then.
 */
export function judge({ scenario, version, wanted, got, known, faults = false }) {
  const wrong = []
  let accepted = 0
  const length = Math.max(wanted.length, got.length)
  for (let index = 0; index < length; index += 1) {
    const [one, other] = [wanted[index], got[index]]
    if (!one || !other) {
      wrong.push(`${index + 1}. ${title(one ?? other)}: only ${one ? 'the reference' : 'ours'} came this far`)
      break
    }
    const call = title(one)
    const status = other.masked.status ?? 0
    if (status >= 500 && !faults) wrong.push(`${index + 1}. ${call}: a fault of the server\n${shown(other)}`)
    if (other.failure) wrong.push(`${index + 1}. ${call}: ${other.failure.stack ?? other.failure}`)
    const open = differences(one.masked, other.masked).filter((seen) => {
      const meant = status < 500 && known?.find({ scenario, call, version, ...seen })
      if (meant) accepted += 1
      return !meant
    })
    if (open.length) {
      const lines = open.map(({ field, wanted: left, got: right }) => `    ${field}: reference ${left ?? 'nothing'}, ours ${right ?? 'nothing'}`)
      wrong.push(`${index + 1}. ${call}\n${lines.join('\n')}\n  reference ${shown(one)}\n  ours ${shown(other)}`)
    }
  }
  return { wrong, accepted }
}

function shown({ response, mail }) {
  if (!response) return JSON.stringify(mail ?? null).slice(0, 300)
  return `-> ${response.status} ${response.headers.location ?? ''} ${response.text.slice(0, 600)}`
}
