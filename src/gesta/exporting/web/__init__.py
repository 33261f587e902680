"""A model as a folder of static files that runs in a browser alone.

`source/` is the TypeScript, `static/` what is copied: the page, and `static/gesta/`, which `source/` compiles to
(`npm install && npm run build` in `source/`).
"""
