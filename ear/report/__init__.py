"""The report page: one HTML file with tables, figures and a gallery, readable without a network."""
