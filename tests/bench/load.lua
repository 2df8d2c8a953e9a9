-- What wrk sends: prepared bodies in turn, each request with a number and an execution of its own.
--
-- Arguments: file of bodies, file of executions, file of control, the first number, "paced" or "full",
-- the request line, headers. All numbers have as many digits as the first. The files hold one item a line. In a body, byte 1 stands for the number and byte 2 for the
-- execution. The control file is shared memory: doubles[0] is the pause between two requests in
-- seconds (only when paced), doubles[1] the number of requests made so far.

local ffi = require("ffi")
ffi.cdef [[
int open(const char *path, int flags);
void *mmap(void *address, size_t length, int protection, int flags, int file, long offset);
typedef struct { long s; long ns; } bench_time;
int clock_gettime(int clock, bench_time *now);
]]
local O_RDWR, PROT_READ_WRITE, MAP_SHARED, CLOCK_MONOTONIC = 2, 3, 1, 1
local CONTROL_BYTES = 4096
-- A generator that fell behind its schedule catches up with so much of it at most.
local MAX_BEHIND_S = 0.05

local control
local requests, executions = {}, {}
local updates, first_update = 0, 0
local due_s = 0
local time = ffi.new("bench_time")

local function split(body, head, execution_bytes)
   local pieces, update_places, execution_places = {}, {}, {}
   local begin = 1
   local length = 0
   while true do
      local at = body:find("[\1\2]", begin)
      local text = body:sub(begin, (at or 0) - 1)
      pieces[#pieces + 1] = text
      length = length + #text
      if not at then break end
      if body:byte(at) == 1 then
         update_places[#update_places + 1] = #pieces + 1
         length = length + #tostring(first_update)
      else
         execution_places[#execution_places + 1] = #pieces + 1
         length = length + execution_bytes
      end
      pieces[#pieces + 1] = ""
      begin = at + 1
   end
   pieces[1] = head .. "Content-Length: " .. length .. "\r\n\r\n" .. pieces[1]
   return { pieces = pieces, update_places = update_places, execution_places = execution_places }
end

function init(args)
   local file = ffi.C.open(args[3], O_RDWR)
   control = ffi.cast("double *",
      ffi.C.mmap(nil, CONTROL_BYTES, PROT_READ_WRITE, MAP_SHARED, file, 0))
   first_update = tonumber(args[4])
   for name in io.lines(args[2]) do executions[#executions + 1] = name end
   local head = table.concat(args, "\r\n", 6) .. "\r\n"
   for body in io.lines(args[1]) do
      requests[#requests + 1] = split(body, head, #executions[1])
   end
   if args[5] == "paced" then
      delay = paced
   end
end

function request()
   updates = updates + 1
   local one = requests[updates % #requests + 1]
   local pieces = one.pieces
   local update = tostring(first_update + updates)
   for _, place in ipairs(one.update_places) do pieces[place] = update end
   local name = executions[updates % #executions + 1]
   for _, place in ipairs(one.execution_places) do pieces[place] = name end
   control[1] = updates
   return table.concat(pieces)
end

function paced()
   ffi.C.clock_gettime(CLOCK_MONOTONIC, time)
   local now_s = tonumber(time.s) + tonumber(time.ns) / 1e9
   due_s = math.max(due_s + control[0], now_s - MAX_BEHIND_S)
   return math.floor(math.max(0, due_s - now_s) * 1000 + 0.5)
end

function done(summary, latency, _)
   local errors = summary.errors
   io.write(string.format(
      '\nRESULT {"requests": %d, "duration_us": %d, "refused": %d, "broken": %d, ' ..
      '"p50_us": %d, "p99_us": %d}\n',
      summary.requests, summary.duration, errors.status,
      errors.connect + errors.read + errors.write + errors.timeout,
      latency:percentile(50), latency:percentile(99)))
end
