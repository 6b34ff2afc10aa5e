"""A lesson of two scenes, run by tests/browser/test_lesson_stages.py."""

import json
import sys
from pathlib import Path

import streamlit as st

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from app.lessons.stages import stages
from app.tasks import setup

QUERIES = {"opening": "", "eight steps": "nfe=8&b-prior=conditional"}


@st.cache_data
def made() -> str:
    return json.dumps(setup.setup({}))


chosen = st.radio("Scene", list(QUERIES))
found = stages(setup.view({"query": QUERIES[chosen]}), setup=made(), key="stages", sliders=("nfe", "scale"))
st.session_state.runs = st.session_state.get("runs", 0) + 1
st.text(f"run {st.session_state.runs}")
if found is not None:
    st.text(f"A {found['a']['global_error']['rmse']:.3f} B {found['b']['global_error']['rmse']:.3f} at {found['a']['nfe']}")
