"""Faults planted in the gates in front of the server, and in what its workers compute."""

from tests.faults import Fault

SECURITY = "tests/app/test_security.py"
TASKS = "tests/app/test_tasks.py"
LEARN = "tests/app/test_learn.py"


def gate(old: str, new: str, test: str) -> Fault:
    return Fault("app/security.py", old, new, f"{SECURITY}::{test}")


def task(file: str, old: str, new: str, test: str) -> Fault:
    return Fault(f"app/tasks/{file}", old, new, f"{TASKS}::{test}")


FAULTS: tuple[Fault, ...] = (
    task("coupling.py", "scene.seed, TARGET_STREAM", "0, TARGET_STREAM", "test_full_ots_pairing_is_the_one_of_the_scenes_world"),
    task("setup.py", '("b", found.b)', '("b", found.a)', "test_a_view_comes_with_notes_and_the_box_of_its_own_mixture"),
    task("setup.py", '"whole": name in WHOLE', '"whole": True', "test_the_setup_holds_every_target_and_the_first_one_says_what_it_lacks"),
    task("clouds.py", '{"box": box(made)}', '{"box": box(by_name("moons"))}', "test_letters_are_the_target_that_spells_them"),
    task(
        "clouds.py",
        '"box": box(fit.mixture)',
        '"box": box(by_name("moons"))',
        "test_a_drawing_and_a_file_of_the_same_points_give_the_same_mixture",
    ),
    task("clouds.py", "len(p) == 2 and ", "", "test_points_that_cannot_be_fitted_are_refused"),
    task("clouds.py", "all(type(v) in (int, float) for v in p)", "True", "test_points_that_cannot_be_fitted_are_refused"),
    task("clouds.py", "any(type(c) not in (int, str) for c in classes)", "False", "test_points_that_cannot_be_fitted_are_refused"),
    task("clouds.py", "len(classes) != len(points) or ", "", "test_points_that_cannot_be_fitted_are_refused"),
    task("figure.py", "replace(scenes[0], **SWEPT)", "scenes[0]", "test_a_prior_sweep_is_of_the_first_scene_whatever_its_prior"),
    task("scenes.py", "not 1 <= count <= MOST", "not 1 <= count", "test_a_bad_scene_is_refused_in_one_sentence_that_names_the_fault"),
    task("scenes.py", "scene.count > FULL_OT_MOST", "scene.count >= FULL_OT_MOST", "test_full_ot_of_the_most_points_is_let_in"),
    gate(
        "            if given is not None:\n                self._wrong",
        "            if True:\n                self._wrong",
        "test_guessing_is_slowed_down",
    ),
    gate('(scope.get("client") or ("unknown", 0))[0]', '"unknown"', "test_guessing_is_slowed_down"),
    gate('"; Secure" if scope.get("scheme") == "https" else ""', '""', "test_a_password_once_given_stands_in_a_cookie"),
    gate('.partition(b":")[2]', '.rpartition(b":")[2]', "test_a_password_once_given_stands_in_a_cookie"),
    *(
        gate(line, "", "test_every_reply_keeps_to_itself")
        for line in (
            '    "Referrer-Policy": "same-origin",\n',
            '    "Cross-Origin-Opener-Policy": "same-origin",\n',
            '    "Cross-Origin-Resource-Policy": "same-origin",\n',
            """        "object-src 'none'",\n""",
            """        "form-action 'self'",\n""",
            '                headers.setdefault("Cache-Control", "no-cache")\n',
        )
    ),
    *(
        Fault(
            "app/server.py",
            old,
            new,
            f"{SECURITY}::test_a_page_holds_no_text_that_could_end_its_script_and_answers_to_the_names_it_was_given",
        )
        for old, new in (("hosts=hosts, ", ""), ('.replace("<", "\\\\u003c")', ""))
    ),
    gate(
        'scope["path"].rstrip("/").endswith(CLOSED)',
        'scope["path"].rstrip("/") in CLOSED',
        "test_what_gradio_tells_of_itself_is_closed_wherever_a_page_is",
    ),
    Fault(
        "app/endpoints/body.py",
        "parse_constant=_constant",
        "parse_constant=float",
        f"{SECURITY}::test_json_that_cannot_be_used_is_refused_in_a_sentence",
    ),
    Fault(
        "app/endpoints/body.py",
        "if len(text) > DIGITS:",
        "if len(text) < 0:",
        f"{SECURITY}::test_json_that_cannot_be_used_is_refused_in_a_sentence",
    ),
    gate(
        "TrustedHostMiddleware(app, allowed_hosts=list(hosts), www_redirect=False)",
        "app",
        "test_another_host_is_refused",
    ),
    gate(
        '_authority(origin) != headers.get("host", "").lower()',
        '_authority(origin) not in headers.get("host", "").lower()',  # "null" has no authority
        "test_what_another_sites_page_sends_is_refused",
    ),
    gate(
        'scope["type"] == "lifespan" or (scope["type"] == "http" and scope["method"] in SAFE)',
        'scope["type"] != "http" or scope["method"] in SAFE',
        "test_what_another_sites_page_sends_is_refused",
    ),
    gate(
        'in ("cross-site", "same-site")',
        'in ("cross-site",)',
        "test_what_says_that_it_is_from_another_site_is_refused_without_an_origin",
    ),
    gate(
        'if scope["type"] == "lifespan":',
        'if scope["type"] != "http":',
        "test_a_password_is_asked_of_pages_endpoints_and_websockets",
    ),
    gate(
        "not hmac.compare_digest(given, self._password)",
        "not self._password.startswith(given)",
        "test_a_password_is_asked_of_pages_endpoints_and_websockets",
    ),
    gate("secrets.token_urlsafe(32)", "password.encode().hex()", "test_a_password_once_given_stands_in_a_cookie"),
    gate("HttpOnly; SameSite=Strict", "SameSite=Strict", "test_a_password_once_given_stands_in_a_cookie"),
    gate(">= TRIES:", "> TRIES:", "test_guessing_is_slowed_down"),
    gate(
        'most = CLOUD_BODY if scope["path"] == CLOUD else BODY',
        "most = CLOUD_BODY",
        "test_a_body_of_the_largest_size_is_read_and_one_byte_more_is_not",
    ),
    gate(
        "            too_large = len(body) > most\n",  # what has no Content-Length would be read to its end
        "",
        "test_a_body_of_the_largest_size_is_read_and_one_byte_more_is_not",
    ),
    gate(
        'if n.lower().startswith("access-control-")',
        'if n.lower() == "access-control-allow-origin"',
        "test_every_reply_keeps_to_itself",
    ),
    Fault(
        "app/tasks/scenes.py",
        "(k[0][0], k[0][1], k[1][1])",
        "(k[0][0], k[1][1], k[0][1])",
        f"{TASKS}::test_a_mixture_is_flattened_row_by_row",
    ),
    Fault(
        "app/tasks/scenes.py",
        "_edges(REACH, usual, target, mirrored)",
        "_edges(REACH, usual, target)",
        f"{TASKS}::test_a_stage_holds_its_target_its_mirror_image_and_the_prior_to_three_standard_deviations[two-modes]",
    ),
    Fault(
        "app/tasks/scenes.py",
        "return min(number, int(control.most)) if",
        "return number if",
        f"{TASKS}::test_whole_numbers_of_javascript_stay_whole_and_the_count_is_cut",
    ),
    Fault(
        "app/tasks/scenes.py",
        'if scene.coupling == "full-ot" and scene.count > FULL_OT_MOST:',
        "if False:",
        f"{TASKS}::test_a_bad_scene_is_refused_in_one_sentence_that_names_the_fault",
    ),
    Fault(
        "app/tasks/verify.py",
        "traced.condition, traced.x_0)",
        "traced.condition, traced.x[-1])",
        f"{TASKS}::test_verification_is_toys_own_summary_with_the_prior_alone",
    ),
    Fault(
        "app/tasks/coupling.py",
        "covariances[:, :2, 2:]",
        "covariances[:, 2:, :2]",
        f"{TASKS}::test_a_fit_is_a_block_coupling_that_gives_the_worlds_field",
    ),
    Fault(
        "app/tasks/coupling.py",
        'shown.condition if scene.sees == "class" else None',
        "None",
        f"{TASKS}::test_full_ots_pairing_is_the_one_of_the_scenes_world",
    ),
    Fault(
        "app/tasks/program.py",
        '" ".join(note.split())',
        "note",
        f"{TASKS}::test_nothing_in_an_address_can_write_a_line_of_the_program",
    ),
    Fault(
        "app/tasks/grids.py",
        '    text += b" " * (-len(text) % 4)\n',
        "",
        f"{TASKS}::test_a_grids_bytes_are_laid_out_as_the_module_says",
    ),
    Fault(
        "app/tasks/learn.py",
        "self._kept = self._kept[::2]",
        "self._kept = self._kept[1::2]",
        f"{LEARN}::test_snapshots_are_thinned_and_the_first_stays",
    ),
    Fault("app/tasks/learn.py", "            self._every *= 2\n", "", f"{LEARN}::test_snapshots_are_thinned_and_the_first_stays"),
    Fault(
        "app/tasks/learn.py",
        "(Gone, BrokenPipeError, EOFError, ConnectionResetError)",
        "(Gone, BrokenPipeError, ConnectionResetError)",
        f"{LEARN}::test_a_training_nobody_listens_to_ends_without_a_word",
    ),
    Fault(
        "app/tasks/learn.py",
        " / learner.scaling.at(t).residual",
        "",
        f"{LEARN}::test_a_training_is_told_from_its_first_snapshot_to_its_last_share",
    ),
    Fault(
        "app/tasks/learn.py",
        "            values[name] = LIMITS[name]\n",
        "",
        f"{LEARN}::test_options_are_cut_to_a_pages_limits_and_said",
    ),
    Fault(
        "app/tasks/learn.py",
        "[side.grid(most_bytes) for side in self._sides]",
        "[self._sides[0].grid(most_bytes) for _ in self._sides]",
        f"{LEARN}::test_each_side_sends_the_velocity_of_its_own_network",
    ),
)
