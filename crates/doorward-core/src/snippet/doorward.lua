-- Asks Doorward before a request goes on. haproxy.cfg loads this file and runs `http-request lua.doorward` after it has set
-- txn.doorward_address to Doorward's address and txn.doorward_url to the one that the visitor opened.

-- What Doorward wants to know of a request besides its address.
local asked = {
    <<asked>>
}

-- Who came, as Doorward says it. Each name is removed from the request before Doorward's answer is taken over.
local identity = {
    <<identity>>
}

-- One request to Doorward, without the visitor's body. Returns nothing when Doorward does not answer.
local function ask(txn, path, code)
    local headers = {
        ["x-original-url"] = { txn:get_var("txn.doorward_url") or "" },
        ["x-original-method"] = { txn.f:method() },
    }
    if code then
        headers["x-doorward-code"] = { code }
    end
    local came = txn.http:req_get_headers()
    for _, name in ipairs(asked) do
        local values = came[name]
        if values then
            -- HAProxy counts values from 0.
            local list = {}
            for index = 0, #values do
                if values[index] and values[index] ~= "" then
                    list[#list + 1] = values[index]
                end
            end
            if #list > 0 then
                headers[name] = list
            end
        end
    end
    local address = txn:get_var("txn.doorward_address")
    if not address then
        return nil
    end
    local fine, answer = pcall(function()
        return core.httpclient():get({ url = "http://" .. address .. path, headers = headers, timeout = 10000 })
    end)
    if fine and answer and answer.status and answer.status > 0 then
        return answer
    end
end

local function header(answer, name)
    local values = answer.headers and answer.headers[name]
    return values and values[0]
end

-- Answers the visitor; nothing behind this line of haproxy.cfg happens.
local function finish(txn, status, headers, body)
    local reply = txn:reply()
    reply:set_status(status)
    reply:add_header("cache-control", "no-store")
    for name, value in pairs(headers) do
        reply:add_header(name, value)
    end
    reply:set_body(body or "")
    txn:done(reply)
end

local function away(txn)
    local headers = { ["content-type"] = "text/plain", ["retry-after"] = "10" }
    finish(txn, 503, headers, "Sign-in is not available right now. Please try again in a moment.\n")
end

-- Signed in and not allowed: Doorward's page with the code that `doorward explain` takes.
local function refused(txn, code)
    local page = ask(txn, "/.doorward/denied", code)
    if not page or page.status ~= 403 then
        return finish(txn, 403, { ["content-type"] = "text/plain" }, "Not allowed. Code: " .. (code or "none") .. "\n")
    end
    local headers = {}
    for _, name in ipairs({ "content-type", "content-security-policy", "x-content-type-options", "referrer-policy" }) do
        headers[name] = header(page, name)
    end
    finish(txn, 403, headers, page.body)
end

core.register_action("doorward", { "http-req" }, function(txn)
    local answer = ask(txn, "/.doorward/auth/haproxy")
    if not answer then
        return away(txn)
    end
    if answer.status == 200 then
        for _, name in ipairs(identity) do
            txn.http:req_del_header(name)
            local value = header(answer, name)
            if value and value ~= "" then
                txn.http:req_set_header(name, value)
            end
        end
        -- Credentials that were meant for Doorward (an app password, an access token) do not reach the service.
        if header(answer, "x-doorward-strip-authorization") == "1" then
            txn.http:req_del_header("authorization")
        end
        txn:set_var("txn.doorward_passed", true)
    elseif answer.status == 401 then
        -- Page views are sent to sign in and come back to the same address; everything else (XHR, WebSocket, forms, programs)
        -- gets a bare 401, because it could do nothing with a page.
        local location = header(answer, "x-doorward-location")
        if location then
            finish(txn, 302, { location = location })
        else
            finish(txn, 401, {})
        end
    elseif answer.status == 403 then
        refused(txn, header(answer, "x-doorward-code"))
    else
        away(txn)
    end
end, 0)
