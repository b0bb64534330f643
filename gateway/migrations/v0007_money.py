"""Schema 7: the line of rotations that a key stands in, by which budgets count it; a revision of what was corrected.

Words in braces differ between SQLite and PostgreSQL and are filled in by gateway.migrations.apply.
"""

STATEMENTS = (
    # The first key of the line, where this one took over from another; NULL: it did not.
    "ALTER TABLE keys ADD COLUMN root_id TEXT",
    """
    WITH RECURSIVE line (key_id, root_id) AS (
        SELECT key_id, key_id FROM keys WHERE replaces IS NULL
        UNION ALL
        SELECT keys.key_id, line.root_id FROM keys JOIN line ON keys.replaces = line.key_id
    )
    UPDATE keys SET root_id = (SELECT line.root_id FROM line WHERE line.key_id = keys.key_id)
    WHERE replaces IS NOT NULL
    """,
    # What successors have spent is the line's, from the beginning on.
    """
    INSERT INTO spend (scope, scope_id, slot, pusd)
    SELECT 'key', keys.root_id, spend.slot, SUM(spend.pusd) FROM spend
    JOIN keys ON keys.key_id = spend.scope_id
    WHERE spend.scope = 'key' AND keys.root_id IS NOT NULL
    GROUP BY keys.root_id, spend.slot
    ON CONFLICT (scope, scope_id, slot) DO UPDATE SET pusd = spend.pusd + excluded.pusd
    """,
    "DELETE FROM spend WHERE scope = 'key' AND scope_id IN (SELECT key_id FROM keys WHERE root_id IS NOT NULL)",
    # Counts the transactions that book corrections, so that processes learn of them.
    "INSERT INTO revisions (name, value) VALUES ('corrections', 0)",
)
