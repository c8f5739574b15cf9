"""What programs that run checks read: a report of `check` as annotations of GitHub, as JUnit's XML, as SARIF."""
