"""Exports a model as a folder of static files that runs entirely in a browser.

`source/` is the TypeScript, `static/` the files to copy: the page, and `static/gesta/`, which `source/` compiles to
(`npm install && npm run build` in `source/`).
"""
