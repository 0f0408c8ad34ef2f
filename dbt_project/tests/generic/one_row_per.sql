{# The grain: no two rows have the same values in this column and in `columns`. #}
{% test one_row_per(model, column_name, columns) %}

select
    {{ column_name }},
    {{ columns | join(', ') }}
from {{ model }}
group by {{ column_name }}, {{ columns | join(', ') }}
having count({{ column_name }}) > 1

{% endtest %}
