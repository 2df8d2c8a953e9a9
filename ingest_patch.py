import re
p='ingest/lanes.py'; s=open(p).read()
s=s.replace('''        self._mending: set[Lane] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
''','''        self._mending: set[Lane] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closed = False
''')
s=s.replace('''        """Stop mending."""
        for task''','''        """Stop mending, for good: what is still in flight fails only after this."""
        self._closed = True
        for task''')
s=s.replace('''        if lane not in self._mending:
            self._mending.add''','''        if lane not in self._mending and not self._closed:
            self._mending.add''')
s=s.replace('''            while not lane.works:
                await''','''            while not lane.works and not self._closed:
                await''')
open(p,'w').write(s)
p='worker/backlog.py'; s=open(p).read()
