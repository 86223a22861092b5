//! A workspace in characters, about square on a terminal.

/// What is in it, m from its middle.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    /// Half its side.
    pub(crate) edge: f64,
    pub(crate) cursor: [f64; 2],
    /// Where the target is, and its radius.
    pub(crate) target: Option<([f64; 2], f64)>,
}

impl Field {
    /// Its lines, with a rim.
    pub(crate) fn lines(&self) -> Vec<String> {
        let rim = "─".repeat(COLUMNS);
        let mut lines = vec![format!("┌{rim}┐")];
        let (width, height) = (2.0 * self.edge / COLUMNS as f64, 2.0 * self.edge / ROWS as f64);
        let cell = |at: f64, size: f64, n: usize| (((at + self.edge) / size) as usize).min(n - 1);
        let at = (cell(self.cursor[0], width, COLUMNS), cell(self.cursor[1], height, ROWS));
        for row in (0..ROWS).rev() {
            let of = |column: usize| {
                let x = (column as f64 + 0.5) * width - self.edge;
                let y = (row as f64 + 0.5) * height - self.edge;
                let is_on =
                    |(target, radius): ([f64; 2], f64)| (x - target[0]).hypot(y - target[1]) <= radius;
                match (column, row) == at {
                    true => '●',
                    false if self.target.is_some_and(is_on) => '░',
                    false => ' ',
                }
            };
            lines.push(format!("│{}│", (0..COLUMNS).map(of).collect::<String>()));
        }
        lines.push(format!("└{rim}┘"));
        lines
    }

    /// Its lines with `table` beside them.
    pub(crate) fn beside(&self, table: &[String]) -> String {
        let mut table = table.iter();
        let with = |line: String| format!("{line}  {}", table.next().map_or("", String::as_str));
        self.lines().into_iter().map(with).collect::<Vec<_>>().join("\n")
    }
}

const COLUMNS: usize = 37;
const ROWS: usize = 18;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_field_shows_cursor_and_target_in_their_corners() {
        let field = Field { edge: 0.13, cursor: [0.13, -0.13], target: Some(([-0.11, 0.11], 0.015)) };
        let lines = field.lines();
        assert_eq!(lines.len(), ROWS + 2);
        assert!(lines.iter().all(|line| line.chars().count() == COLUMNS + 2));
        assert_eq!(lines[ROWS].chars().nth(COLUMNS), Some('●'), "{lines:?}");
        assert_eq!(lines[2].chars().nth(3), Some('░'), "{lines:?}");
        assert!(!lines[ROWS - 1].contains('░'));
        assert!(!Field { target: None, ..field }.lines().concat().contains('░'));
    }
}
