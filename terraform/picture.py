"""Draws docs/how-to/aws.svg, what lies where in an environment: python terraform/picture.py"""

from __future__ import annotations

from html import escape
from pathlib import Path

TARGET = Path(__file__).parents[1] / "docs/how-to/aws.svg"
WIDTH, HEIGHT = 980, 560
INK, LINE = "#1f2937", "#94a3b8"

Box = tuple[int, int, int, int, str, tuple[str, ...], str]
BOXES: tuple[Box, ...] = (
    # x, y, width, height, title (the module), lines, colour
    (20, 20, 150, 60, "clients", ("HTTPS",), "#ffffff"),
    (20, 110, 150, 70, "GitHub Actions", ("OIDC, no key",), "#ffffff"),
    (20, 210, 150, 70, "administrators", ("MFA, client VPN",), "#ffffff"),
    (200, 20, 540, 420, "network", ("VPC, three zones, flow logs, NACLs",), "#f8fafc"),
    (220, 70, 500, 80, "edge", ("public subnets: ALB, TLS 1.3, ACM, Route 53, WAF, NAT",), "#fef3c7"),
    (220, 170, 500, 130, "cluster", ("private subnets: EKS, add-ons",), "#dbeafe"),
    (236, 222, 108, 62, "general", ("on demand",), "#ffffff"),
    (358, 222, 108, 62, "high-memory", ("on demand",), "#ffffff"),
    (480, 222, 108, 62, "batch", ("spot",), "#ffffff"),
    (602, 222, 104, 62, "gpu", ("tainted",), "#ffffff"),
    (
        220,
        320,
        240,
        100,
        "database",
        ("database subnets: RDS PostgreSQL", "TLS, rotation, backups"),
        "#dcfce7",
    ),
    (480, 320, 240, 100, "cache", ("database subnets: Redis", "TLS, token, failover"), "#dcfce7"),
    (770, 20, 190, 80, "artifacts", ("S3: models, traffic,", "backups, access logs"), "#ede9fe"),
    (770, 120, 190, 60, "registry", ("ECR: scanned, immutable",), "#ede9fe"),
    (770, 200, 190, 60, "secrets", ("rotated every month",), "#ede9fe"),
    (770, 280, 190, 60, "keys", ("KMS, one for each class",), "#ede9fe"),
    (770, 360, 190, 80, "identity", ("a role for each", "service account; CI"), "#ede9fe"),
    (20, 460, 460, 80, "audit", ("CloudTrail, GuardDuty, Config, alarms to SNS",), "#fee2e2"),
    (500, 460, 460, 80, "cost", ("budget, nights without machines, snapshots that end",), "#fee2e2"),
)
ARROWS = (
    ((170, 50), (220, 100)),
    ((170, 145), (236, 235)),
    ((170, 245), (236, 250)),
    ((470, 150), (470, 170)),
    ((340, 300), (340, 320)),
    ((600, 300), (600, 320)),
    ((720, 220), (770, 70)),
    ((720, 235), (770, 150)),
    ((720, 250), (770, 230)),
)


def _box(box: Box) -> str:
    x, y, width, height, title, lines, colour = box
    texts = [f'<text x="{x + 12}" y="{y + 22}" font-weight="600">{escape(title)}</text>']
    texts += [
        f'<text x="{x + 12}" y="{y + 40 + 17 * row}" font-size="12">{escape(line)}</text>'
        for row, line in enumerate(lines)
    ]
    frame = (
        f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="8" fill="{colour}" stroke="{LINE}"/>'
    )
    return frame + "".join(texts)


def _arrow(ends: tuple[tuple[int, int], tuple[int, int]]) -> str:
    (a, b), (c, d) = ends
    place = f'x1="{a}" y1="{b}" x2="{c}" y2="{d}"'
    return f'<line {place} stroke="{INK}" stroke-width="1.5" marker-end="url(#end)"/>'


def picture() -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        f'font-size="14" fill="{INK}"><title>ModelServe on AWS</title>'
        '<defs><marker id="end" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" '
        'orient="auto">'
        f'<path d="M0 0 8 4 0 8z" fill="{INK}"/></marker></defs>'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>'
    )
    return "\n".join([head, *map(_box, BOXES), *map(_arrow, ARROWS), "</svg>\n"])


if __name__ == "__main__":
    TARGET.write_text(picture())
