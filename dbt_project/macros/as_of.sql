{# The day of the build: a fact counts as it stands at 00:00 Europe/Paris of that day. Always given, never the clock's. #}
{% macro as_of() -%}
    date '{{ var("as_of") }}'
{%- endmacro %}


{# Whether something lives on the day of the build: `day` is the first on which it is due, empty if none is. The zone says that day of each row
   (ends_on) and of values with a rule of their own (values_end_on); no model counts days itself (C-10.1). A plain comparison, so that lineage
   sees a stretch of time and no more. #}
{% macro alive(day) -%}
    {{ as_of() }} < coalesce({{ day }}, date '9999-12-31')
{%- endmacro %}


{# The fewest members in a cell of an aggregate (C-10.7), as the policy says. #}
{% macro cell() -%}
    {{ var("cell") }}
{%- endmacro %}
