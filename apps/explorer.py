"""The explorer: `streamlit run apps/explorer.py` opens a real model, offline, in the browser.

This script lists the pages; each is a file in `views/`.
"""

from __future__ import annotations

import streamlit as st

# No page icon: the browser would fetch one from elsewhere, and the explorer works offline.
st.set_page_config(page_title="interp explorer", layout="wide")

st.navigation([st.Page("views/start.py", title="Start", default=True)], position="hidden").run()
