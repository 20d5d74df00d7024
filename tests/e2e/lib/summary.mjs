// What `run` says at its very end: every failed test with its reason, short enough that the last 80 lines of a log hold it all.
//
//   summary.mjs FAILURES ENGINE-SUITE…      FAILURES as the reporter wrote it, then the suites that failed to the end
//
// A failure of a suite that passed in its second try is told as `flaky:`, the others as `FAILED`.

import fs from 'node:fs'

const LINES = 64
const WIDTH = 240

const [file, ...broken] = process.argv.slice(2)
const failures = fs.existsSync(file)
  ? fs.readFileSync(file, 'utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line))
  : []
const where = ({ engine, suite }) => `${engine}-${suite}`
const lost = (one) => broken.includes(where(one))
// The second try is what counts; a test that failed in the first one only is named all the same.
const again = (one) => failures.some((other) => other.attempt === 'second' && where(other) === where(one) && other.name === one.name)
const shown = failures.filter((one) => one.attempt !== 'first' || !again(one))
const once = (one) => one.attempt === 'first' && (!lost(one) || failures.some((other) => other.attempt === 'second' && where(other) === where(one)))

function tell(one, limit) {
  const head = once(one) ? `flaky: ${one.name} (${one.suite} on ${one.engine}) failed in the first try only` : `FAILED ${one.name} (${one.suite} on ${one.engine})`
  const lines = one.reason.split('\n').map((line) => (line.length > WIDTH ? `${line.slice(0, WIDTH)}…` : line))
  const kept = lines.slice(0, limit)
  if (limit > 0 && lines.length > limit) kept.push(`… ${lines.length - limit} more lines above`)
  return [head, ...kept.map((line) => `      ${line}`)]
}

// What failed stands last, where a reader looks first.
const order = [...shown.filter(once), ...shown.filter((one) => !once(one))]
let lines = []
for (const limit of [24, 12, 6, 3, 1, 0]) {
  lines = order.flatMap((one) => tell(one, limit))
  if (lines.length <= LINES) break
}
if (lines.length > LINES) lines = [`${lines.length - LINES} more failures above`, ...lines.slice(-LINES)]
if (lines.length) process.stdout.write(`${lines.join('\n')}\n`)
