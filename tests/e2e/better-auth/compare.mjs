// Compares what two targets said, entry by entry, and sorts out the differences that are known and meant.

import fs from 'node:fs'
import path from 'node:path'

const FILE = path.join(import.meta.dirname, 'differences.json')

/** Only told by one side when it matters: the other may always add these. */
const OPTIONAL = new Set(['cache-control', 'pragma'])

const isObject = (value) => value !== null && typeof value === 'object' && !Array.isArray(value)

/** Pairs of leaves that differ; what one side has not at all is one leaf. Lists of one length are compared entry by entry. */
function walk(one, other, at, out) {
  const lists = Array.isArray(one) && Array.isArray(other) && one.length === other.length
  if (lists || (isObject(one) && isObject(other))) {
    for (const name of new Set([...Object.keys(one), ...Object.keys(other)])) walk(one[name], other[name], at ? `${at}.${name}` : name, out)
    return out
  }
  const [left, right] = [JSON.stringify(one), JSON.stringify(other)]
  if (left !== right && !(one === undefined && OPTIONAL.has(at))) out.push({ field: at, wanted: left, got: right })
  return out
}

const outcome = ({ status, body }) => `${status}${body?.code ? ` ${body.code}` : body?.error ? ` ${body.error}` : ''}`

/**
 * The differences of two masked entries as `{ field, wanted, got }`. When the status differs, the rest differs with it: then only
 * the status is one, and what ours sets beyond that.
 */
export function differences(wanted, got) {
  if (wanted.status === got.status) return walk(wanted, got, '', [])
  const found = [{ field: 'status', wanted: JSON.stringify(outcome(wanted)), got: JSON.stringify(outcome(got)) }]
  if (got.cookies) walk(wanted.cookies ?? {}, got.cookies, 'cookies', found)
  return found
}

/** One line for an entry, so that a reader finds it. */
export function title({ about, via, request }) {
  if (!request) return about
  return `${request.method} ${request.path.split('?')[0]}${about ? ` (${about})` : via && via !== 'raw' ? ` (${via})` : ''}`
}

/**
 * The known differences: `{ scenario?, call?, field, version?, wanted?, got?, change?, reason }`, each a pattern on the whole text;
 * `change` is one on `wanted -> got`. A difference on a fault of the server is never known.
 */
export class Known {
  constructor(list = JSON.parse(fs.readFileSync(FILE, 'utf8'))) {
    const pattern = (text) => (text === undefined ? undefined : new RegExp(`^(?:${text})$`, 's'))
    this.list = list.map((one) => {
      if (!one.reason || !one.field) throw new Error(`differences.json: an entry needs a field and a reason: ${JSON.stringify(one)}`)
      const tests = Object.fromEntries(['scenario', 'call', 'field', 'version', 'wanted', 'got', 'change'].map((name) => [name, pattern(one[name])]))
      return { ...one, tests, used: 0 }
    })
  }

  find(seen) {
    const found = this.list.find(({ tests }) => Object.entries(tests).every(([name, test]) => !test || test.test(seen[name] ?? '')))
    if (found) found.used += 1
    return found
  }

  /** Entries for this version that matched nothing. */
  stale(version) {
    return this.list.filter(({ used, tests }) => used === 0 && (!tests.version || tests.version.test(version))).map(({ used, tests, ...entry }) => JSON.stringify(entry))
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
      const meant = status < 500 && known?.find({ scenario, call, version, change: `${seen.wanted ?? ''} -> ${seen.got ?? ''}`, ...seen })
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
