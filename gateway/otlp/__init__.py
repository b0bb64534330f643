"""What is told to a collector by OTLP: a span for each call and all metrics; imported only where one is named."""
