-- JSON bodies in turn: wrk -s json.lua URL -- FILE
-- FILE: one body a line. They are no arguments because they hold secrets. Headers are given by -H.

local bodies = {}
local at = 0

function init(arguments)
  for line in io.lines(arguments[1]) do table.insert(bodies, line) end
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "application/json"
end

function request()
  at = at % #bodies + 1
  return wrk.format(nil, nil, nil, bodies[at])
end
